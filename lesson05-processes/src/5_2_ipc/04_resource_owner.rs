//! # 5.2 Why IPC: one process owns the resource (Python Processes)
//!
//! One process alone has the tickets; the others send it a message, and it answers each with the next ticket.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin resource_owner
//! tickets given by the owner: 12
//! tickets of the customers, sorted: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
//! ```
//!
//! Observe: four customers ask at the same time, and no ticket is given twice or left out. There is no lock, because
//! there is nothing to lock: the number is an ordinary variable of one process, which takes one request after the
//! other. A printer or a connection to a database is shared in the same way.
//! Try: let each customer print its number and its tickets as it gets them. Are they the same in each run? What is it
//! that never changes?

use common::{Process, Queue, Receiver, Sender, one_way_pipe};

fn own_tickets((requests, answers): (Queue<usize>, Vec<Sender<u32>>)) -> common::Result<()> {
    let mut ticket = 0;
    for customer in requests.iter() {
        ticket += 1;
        answers[customer?].send(&ticket)?;
    }
    println!("tickets given by the owner: {ticket}");
    Ok(())
}

type Customer = (usize, Queue<usize>, Receiver<u32>, Queue<u32>);

fn buy_three((number, requests, answers, bought): Customer) -> common::Result<()> {
    for _ in 0..3 {
        requests.put(number)?;
        bought.put(answers.recv()?)?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (requests, bought) = (Queue::new()?, Queue::new()?);
    let (mut customers, mut answers) = (Vec::new(), Vec::new());
    for number in 0..4 {
        let (receiver, sender) = one_way_pipe()?;
        answers.push(sender);
        let customer = (number, requests.clone(), receiver, bought.clone());
        customers.push(Process::new(buy_three, customer).start()?);
    }
    let owner = Process::new(own_tickets, (requests.clone(), answers)).start()?;

    for customer in customers {
        customer.join()?;
    }
    requests.shutdown();
    owner.join()?;
    bought.shutdown();
    let mut tickets = bought.iter().collect::<Result<Vec<u32>, _>>()?;
    tickets.sort_unstable();
    println!("tickets of the customers, sorted: {tickets:?}");
    Ok(())
}
