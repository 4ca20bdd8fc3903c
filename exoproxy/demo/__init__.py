"""The demo: both modes, a stand-in cloud and a stand-in instance, on loopback."""
