"""The service: classifies images over HTTP, steers L while it runs, and counts the FLOPs it did not execute."""
