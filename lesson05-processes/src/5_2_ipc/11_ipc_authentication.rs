//! # 5.2 Challenges of IPC: who is at the other end (Python Processes)
//!
//! Whoever finds a port can knock; only who shows that he knows the key comes in, and the key is never sent.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin ipc_authentication
//! stranger: refused
//! server: somebody was turned away
//! server: somebody who knows the key says hello
//! friend: the answer is HELLO
//! ```
//!
//! Observe: each side sends the other a random question, and wants the digest of the question and the key back. So who
//! listens on the way learns no key, and an answer of yesterday is worth nothing today. What is said after that is in
//! clear: between machines it belongs into a tunnel (`ssh -L`).
//! Try: bind to `0.0.0.0` instead of `127.0.0.1`. What does the error say, and which way out does it name?

use common::Process;
use common::connection::{AcceptError, Address, Client, Listener};

fn stranger(server: Client) {
    let connected = server.authkey(b"a guess").connect::<String, String>();
    println!("stranger: {}", if connected.is_err() { "refused" } else { "came in" });
}

fn friend(server: Client) -> common::Result<()> {
    let end = server.authkey(b"only between us").connect::<String, String>()?;
    end.send(&"hello".to_string())?;
    println!("friend: the answer is {}", end.recv()?);
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let address = Address::tcp("127.0.0.1", 0)?;
    let server = Listener::builder().address(address).authkey(b"only between us").bind()?;
    let client = Client::new(server.address().clone());

    let child = Process::new(stranger, client.clone()).start()?;
    let came = server.accept::<String, String>();
    child.join()?;
    if let Err(AcceptError::Authentication(..)) = came {
        println!("server: somebody was turned away");
    }

    let child = Process::new(friend, client).start()?;
    let end = server.accept::<String, String>()?;
    let word = end.recv()?;
    println!("server: somebody who knows the key says {word}");
    end.send(&word.to_uppercase())?;
    child.join()?;
    Ok(())
}
