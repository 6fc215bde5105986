"""Intervals: of rates, of means, of differences, of disparities over groups, of paired changes."""
