"""A deployment, running: the whole deployment file, what is made of it, and the processes and sockets that serve it."""
