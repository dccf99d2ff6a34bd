"""Tests of association between connectivity and behaviour over seeds."""
