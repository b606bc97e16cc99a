"""Everything on one machine: stand-ins for the services that relance talks to, and the tools to play with them."""
