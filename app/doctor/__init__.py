"""`haste doctor`: whether this machine and these settings are fit for the service, and what to do otherwise."""
