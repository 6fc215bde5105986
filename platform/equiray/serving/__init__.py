"""What answers in production: the guarded application, its audit log and its live monitor."""
