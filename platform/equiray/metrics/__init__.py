"""What is measured: counts, rates, intervals, the intrinsic gap. Imports no Ray and no model."""
