"""What is changed in data or model so that decisions get fairer. Imports no Ray."""
