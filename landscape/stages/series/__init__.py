"""Series over training: where they come from, their noise, and the smooth curve behind them."""
