"""One HTTP request, without a retry."""

import http.client


def get(address, path="/", timeout_secs=10):
    """Status and text of `GET path` at `(host, port)` over a connection of its own."""
    connection = http.client.HTTPConnection(*address, timeout=timeout_secs)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
