use common::{Connection, Process, pipe};

fn answer(connection: Connection<u64, u64>) -> common::Result<()> {
    while let Ok(x) = connection.recv() {
        connection.send(&(x * x))?;
    }
    Ok(())
}

fn main() -> common::Result<()> {
    common::init();
    let (ours, theirs) = pipe()?;
    let child = Process::new(answer, theirs).start()?;
    for x in 1..=3 {
        ours.send(&x)?;
        println!("{x} squared is {}", ours.recv()?);
    }
    ours.close();
    println!("the child {}", child.join()?);
    Ok(())
}
