use common::Process;

fn square(x: i32) -> i32 {
    x * x
}

#[tokio::main]
async fn main() -> common::Result<()> {
    common::init();
    let child = Process::new(square, 5).start()?;
    let exit = tokio::task::spawn_blocking(move || child.join()).await;
    println!("the child {}", exit.expect("join does not panic")?);
    Ok(())
}
