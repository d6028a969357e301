"""One module a command; `graphpose.cli.discovery` finds them."""
