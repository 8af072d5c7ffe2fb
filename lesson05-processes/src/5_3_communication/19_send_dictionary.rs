//! # 5.3 A dictionary for another process (Processes, CIS 41B)
//!
//! A dictionary is sent as bytes and built again on the other side: a copy, and not the same one.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin send_dictionary
//! child: got {"apples": 3, "pears": 5}
//! child: now {"apples": 3, "pears": 5, "plums": 7}
//! parent: still {"apples": 3, "pears": 5}
//! parent: got back {"apples": 3, "pears": 5, "plums": 7}
//! ```
//!
//! Observe: nobody calls a `pickle`: the type of the connection says what is sent, and the rest follows.
//! *Processes, CIS 41B* says that data must be binary because "processors communicate with binary data": bytes are
//! needed because the two processes have two memories, also on one processor; an address of the one means nothing in
//! the other.
//! Try: send a `HashMap` instead of a `BTreeMap`. Why do the printed lines change from run to run?

use common::{Connection, Process, pipe};
use std::collections::BTreeMap;

type Stock = BTreeMap<String, u32>;

fn add_plums(parent: Connection<Stock, Stock>) -> common::Result<()> {
    let mut stock = parent.recv()?;
    println!("child: got {stock:?}");
    stock.insert("plums".to_string(), 7);
    println!("child: now {stock:?}");
    parent.send(&stock)?;
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (child, theirs) = pipe::<Stock, Stock>()?;
    let process = Process::new(add_plums, theirs).start()?;

    let stock = Stock::from([("apples".to_string(), 3), ("pears".to_string(), 5)]);
    child.send(&stock)?;
    let back = child.recv()?;
    println!("parent: still {stock:?}");
    println!("parent: got back {back:?}");
    process.join()?;
    Ok(())
}
