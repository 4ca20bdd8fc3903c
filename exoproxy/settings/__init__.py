"""What can be configured (`model`) and how a file becomes it (`load`)."""
