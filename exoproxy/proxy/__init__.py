"""The engine: carries a site's decisions out; knows HTTP and sockets, nothing of Exosphere."""
