"""What FairNet is measured against, on the same cached features and rows."""
