"""HTTP/1.1 in front, on asyncio and httptools (llhttp): in the platform's own event loop, so that a request crosses no thread.

connection.py  bytes in: one connection, its requests in order, limits and time-outs
exchange.py    one request and its answer, as ASGI sees them
splice.py      a connection that turns out to be HTTP/2 is handed on, byte for byte, to the server that speaks it
listener.py    the socket, TLS, reload, and a stop that drains
"""
