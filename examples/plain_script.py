"""No event loop in sight: a script that takes visitors one by one, as with a socket.

python examples/plain_script.py
"""

import portway


def main() -> None:
    """Greet three visitors, then end."""
    with portway.SyncAgent() as agent, agent.listen("tcp://") as listener:
        print(listener.url, flush=True)
        for number in range(1, 4):
            with listener.accept() as connection:
                name = connection.recv(100).decode().strip()
                connection.sendall(f"hello {name}, you are number {number}\n".encode())


if __name__ == "__main__":
    main()
