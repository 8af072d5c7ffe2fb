//! Tries to speak to anyone.
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

unsafe extern "C" {
    fn socket(family: i32, kind: i32, protocol: i32) -> i32;
    fn syscall(number: i64, ...) -> i64;
}

fn main() {
    let soon = Duration::from_millis(200);
    for address in ["169.254.169.254:80", "1.1.1.1:53", "[2606:4700:4700::1111]:53", "10.0.0.1:22"]
    {
        let address: SocketAddr = address.parse().unwrap();
        if TcpStream::connect_timeout(&address, soon).is_ok() {
            println!("attack: reached {address}");
        }
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        if UdpSocket::bind(any).is_ok_and(|socket| socket.send_to(b"x", address).is_ok()) {
            println!("attack: reached {address} by UDP");
        }
    }
    if ("example.org", 80).to_socket_addrs().is_ok() {
        println!("attack: reached a name server");
    }
    for name in ["/run/dbus/system_bus_socket", "/var/run/docker.sock", "/run/systemd/notify"] {
        if UnixStream::connect(name).is_ok() {
            println!("attack: reached {name}");
        }
    }
    // Netlink, packets, the machine below, the kernel's ciphers, bare IP.
    for (family, kind, protocol) in [(16, 3, 0), (17, 3, 0), (40, 1, 0), (38, 5, 0), (2, 3, 1)] {
        if unsafe { socket(family, kind, protocol) } >= 0 {
            println!("attack: reached a socket of family {family}");
        }
    }
    // io_uring makes sockets without the usual calls.
    let mut parameters = [0_u64; 16];
    if unsafe { syscall(425, 1, parameters.as_mut_ptr()) } >= 0 {
        println!("attack: reached io_uring");
    }
}
