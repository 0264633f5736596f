"""Would a test notice? Small changes to the losses and metrics, one at a time, and whether a test fails for each."""
