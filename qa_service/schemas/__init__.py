"""What goes over HTTP, as the server and the client see it. Requests are strict: nothing unknown, no number as text."""
