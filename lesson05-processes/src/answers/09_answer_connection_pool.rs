//! # Answer: a pool of connections (multiprocessing Module)
//!
//! Nine clients share three connections: a semaphore says how many are free, a table says which.
//!
//! ```console,any-order,elapsed:0.6..60
//! $ cargo run -p lesson05-processes --bin answer_connection_pool
//! client 1 has connection [N]
//! client 2 has connection [N]
//! client 3 has connection [N]
//! client 4 has connection [N]
//! client 5 has connection [N]
//! client 6 has connection [N]
//! client 7 has connection [N]
//! client 8 has connection [N]
//! client 9 has connection [N]
//! served: 9 of 9, in use at the end: [0, 0, 0]  <- after all above
//! ```
//!
//! Observe: nine queries of 0.2 seconds over three connections take 0.6 seconds at least; that is where the
//! limit shows. Who has a permit always finds a free connection: it is marked as free before the permit goes
//! back, at the end of the function.
//! Try: leave the permit out. How many are served? Then put it back, and let client 5 end by
//! `std::process::abort()` during its query: what comes back by itself, and what does not?

use common::sync::Semaphore;
use common::{Array, Process};
use std::thread::sleep;
use std::time::Duration;

/// As many permits as there are connections, and who uses each of them: 0 is nobody.
type Connections = (Semaphore, Array<u32>);

fn client((number, (permits, users)): (u32, Connections)) -> common::Result<()> {
    let _permit = permits.acquire();
    let mut table = users.lock();
    let connection = table.iter().position(|user| *user == 0).expect("one is free");
    table[connection] = number;
    drop(table);
    println!("client {number} has connection {connection}");

    sleep(Duration::from_millis(200)); // The query.

    let user = users.update(connection, std::mem::take)?;
    assert_eq!(user, number, "the connection was given to somebody else as well");
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let connections: Connections = (Semaphore::new(3)?, Array::new(3)?);
    let mut clients = Vec::new();
    for number in 1..=9 {
        clients.push(Process::new(client, (number, connections.clone())).start()?);
    }
    let mut served = 0;
    for client in clients {
        served += u32::from(client.join()?.is_success());
    }
    println!("served: {served} of 9, in use at the end: {:?}", connections.1.to_vec());
    Ok(())
}
