//! What a panic is under `panic = "abort"`, in children started in each way.

use common::{Process, StartMethod};

fn square(x: i32) -> i32 {
    x * x
}

fn fail(text: String) {
    panic!("{text}");
}

fn main() -> common::Result<()> {
    common::init();
    for method in StartMethod::ALL {
        let child = Process::new(square, 5).start_method(method).start()?;
        println!("{method}: {:?}", child.join()?);
        let child = Process::new(fail, "on purpose".to_string()).start_method(method).start()?;
        println!("{method}: {:?}", child.join()?);
    }
    Ok(())
}
