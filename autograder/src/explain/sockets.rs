//! Which sockets belong together.
//!
//! A socket's descriptor tells its number, and not that of the other end. The kernel tells it over a
//! netlink socket (`sock_diag(7)`), of sockets in the network namespace of whoever asks. In a sandbox with
//! a namespace of its own, `/proc/PID/net/unix` lists the sockets without the other ends. There a pair is
//! recognised by its numbers: `socketpair` makes both at once, so they follow on one another. That is
//! probable and not certain, and says so. Connections over TCP are told by both addresses
//! (`/proc/PID/net/tcp`).
//!
//! # System calls
//!
//! `socket`, `send`, `recv`; the messages are laid out by hand here, as the kernel's headers have them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::proc;

/// How many network namespaces of a program are looked into.
const NAMESPACES: usize = 4;
/// How many messages of the kernel are read.
const ANSWERS: usize = 1_000;
/// How long one of them may take, in milliseconds.
const PATIENCE: i64 = 50;

/// Which sockets belong together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets {
    /// The other end, and whether that is certain.
    peers: HashMap<u64, (u64, bool)>,
    /// Those at which clients arrive.
    listening: HashSet<u64>,
}

impl Sockets {
    /// The other end of a socket, and whether it is certain.
    pub(super) fn peer(&self, socket: u64) -> Option<(u64, bool)> {
        self.peers.get(&socket).copied()
    }

    /// Whether it waits for clients.
    pub(super) fn listens(&self, socket: u64) -> bool {
        self.listening.contains(&socket)
    }
}

/// Asks for the sockets `held` by the processes `pids`.
pub(super) fn read(pids: &[i32], held: &HashSet<u64>) -> Sockets {
    let mut sockets = Sockets::default();
    ask(&mut sockets);
    let mut namespaces = HashSet::new();
    for pid in pids {
        let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/net")) else { continue };
        if namespaces.len() < NAMESPACES && namespaces.insert(namespace) {
            let list = |name: &str| read_list(&format!("/proc/{pid}/net/{name}"));
            guess_pairs(&list("unix"), held, &mut sockets);
            let addresses = [list("tcp"), list("tcp6")].concat();
            match_addresses(&addresses, &mut sockets);
        }
    }
    sockets.peers.retain(|socket, _| held.contains(socket));
    sockets
}

/// The lines of a list, in words.
fn read_list(path: &str) -> Vec<Vec<String>> {
    let text = read_file(path);
    let lines = text.lines().skip(1);
    lines.map(|line| line.split_whitespace().map(str::to_string).collect()).collect()
}

fn read_file(path: &str) -> String {
    proc::read(path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// `Num RefCount Protocol Flags Type St Inode Path`: unnamed connected sockets, in pairs by their numbers.
fn guess_pairs(list: &[Vec<String>], held: &HashSet<u64>, sockets: &mut Sockets) {
    const LISTENS: &str = "00010000";
    const CONNECTED: &str = "03";
    let mut unnamed = Vec::new();
    for words in list {
        let [_, _, _, flags, _, state, inode, name @ ..] = words.as_slice() else { continue };
        let Ok(inode) = inode.parse::<u64>() else { continue };
        if flags == LISTENS {
            sockets.listening.insert(inode);
        } else if state == CONNECTED && name.is_empty() {
            unnamed.push(inode);
        }
    }
    unnamed.sort_unstable();
    // A run of an odd number has lost one, and nobody knows which.
    for run in unnamed.chunk_by(|one, next| one + 1 == *next).filter(|run| run.len() % 2 == 0) {
        for pair in run.chunks_exact(2) {
            let is_known = pair.iter().any(|socket| sockets.peers.contains_key(socket));
            if !is_known && pair.iter().any(|socket| held.contains(socket)) {
                sockets.peers.insert(pair[0], (pair[1], false));
                sockets.peers.insert(pair[1], (pair[0], false));
            }
        }
    }
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...`: the other end has the same
/// addresses the other way round.
fn match_addresses(list: &[Vec<String>], sockets: &mut Sockets) {
    const LISTENS: &str = "0A";
    let ends: Vec<(&str, &str, &str, u64)> = list
        .iter()
        .filter_map(|words| {
            let inode = words.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
            Some((words.get(1)?.as_str(), words.get(2)?.as_str(), words.get(3)?.as_str(), inode))
        })
        .collect();
    let by_addresses: HashMap<(&str, &str), u64> =
        ends.iter().map(|(local, remote, _, inode)| ((*local, *remote), *inode)).collect();
    for (local, remote, state, inode) in &ends {
        if *state == LISTENS {
            sockets.listening.insert(*inode);
        } else if let Some(peer) = by_addresses.get(&(*remote, *local)) {
            sockets.peers.insert(*inode, (*peer, true));
        }
    }
}

const HEADER: usize = 16;
const BODY: usize = 16;
/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const ALL: u16 = 0x301;
/// `UDIAG_SHOW_PEER`
const SHOW_PEER: u32 = 4;
/// `UNIX_DIAG_PEER`
const PEER: u16 = 2;
const UNIX: u8 = 1;
const LISTENS: u8 = 10;

/// Asks the kernel for all Unix sockets of this network namespace. What it does not answer is not known.
fn ask(sockets: &mut Sockets) -> Option<()> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )
    .ok()?;
    setsockopt(&netlink, sockopt::ReceiveTimeout, &TimeVal::milliseconds(PATIENCE)).ok()?;
    let mut request = Vec::new();
    request.extend((HEADER as u32 + 24).to_ne_bytes());
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(ALL.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([UNIX, 0, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    request.extend(SHOW_PEER.to_ne_bytes());
    request.extend([0xff; 8]);
    send(netlink.as_raw_fd(), &request, MsgFlags::empty()).ok()?;
    let mut answer = vec![0; 32 << 10];
    for _ in 0..ANSWERS {
        let len = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()).ok()?;
        if !take(answer.get(..len)?, sockets) {
            break;
        }
    }
    Some(())
}

/// Takes the sockets out of an answer; false at the end of all.
fn take(mut answer: &[u8], sockets: &mut Sockets) -> bool {
    while let Some((len, kind)) = long(answer, 0).zip(short(answer, 4)) {
        if kind != BY_FAMILY {
            return false;
        }
        let Some(message) = answer.get(HEADER..len as usize) else { return false };
        if let (Some(state), Some(inode)) = (message.get(2), long(message, 4)) {
            if *state == LISTENS {
                sockets.listening.insert(inode.into());
            }
            let attributes = message.get(BODY..).unwrap_or_default();
            if let Some(peer) = attribute(attributes, PEER) {
                sockets.peers.insert(inode.into(), (peer.into(), true));
            }
        }
        answer = answer.get((len as usize).next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

/// The number that an attribute holds: length, kind, content, each aligned to four bytes.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<u32> {
    loop {
        let (len, kind) = short(attributes, 0).zip(short(attributes, 2))?;
        if kind == wanted {
            return long(attributes, 4);
        }
        attributes = attributes.get(usize::from(len).next_multiple_of(4).max(4)..)?;
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    fn inode(socket: &impl AsRawFd) -> u64 {
        fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino()
    }

    fn own() -> i32 {
        std::process::id() as i32
    }

    #[test]
    fn the_kernel_knows_pairs_and_connections() {
        let (one, other) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        let numbers = [inode(&one), inode(&other), inode(&client), inode(&served)];
        let sockets = read(&[own()], &HashSet::from(numbers));
        let [one, other, client, served] = numbers;
        let peer = |socket| sockets.peer(socket).map(|(peer, _)| peer);
        assert_eq!((peer(one), peer(other)), (Some(other), Some(one)));
        assert_eq!((peer(client), peer(served)), (Some(served), Some(client)));
        assert!(sockets.listens(inode(&listener)) && !sockets.listens(client));
    }

    #[test]
    fn where_the_kernel_does_not_tell_neighbours_are_probably_a_pair() {
        let line = |inode: u64, flags: &str, state: &str| {
            format!("0: 3 0 {flags} 0001 {state} {inode}").split(' ').map(str::to_string).collect()
        };
        let list: Vec<Vec<String>> = vec![
            line(10, "00000000", "03"),
            line(11, "00000000", "03"),
            line(12, "00000000", "03"),
            line(13, "00000000", "03"),
            line(20, "00000000", "03"),
            line(31, "00010000", "01"),
        ];
        let mut sockets = Sockets::default();
        guess_pairs(&list, &HashSet::from([11, 12, 20]), &mut sockets);
        assert_eq!(sockets.peer(11), Some((10, false)));
        assert_eq!(sockets.peer(12), Some((13, false)));
        assert_eq!(sockets.peer(20), None);
        assert!(sockets.listens(31));
    }

    #[test]
    fn nonsense_is_no_socket() {
        let mut sockets = Sockets::default();
        assert!(take(&[], &mut sockets));
        assert!(!take(&[0xff; 40], &mut sockets));
        assert!(!take(&[8, 0, 0, 0, 20, 0, 0, 0, 0], &mut sockets));
        assert_eq!(attribute(&[0; 3], PEER), None);
        assert_eq!(attribute(&[0, 0, 9, 0, 0, 0, 2, 0], PEER), None);
        assert!(sockets.peers.is_empty());
    }
}
