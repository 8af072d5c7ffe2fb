//! # 5.1 The main function and its guard (Processes, CIS 41B)
//!
//! A child begins `main` again, and leaves it at `common::init()`.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin main_guard
//! top level runs, main block: yes
//! top level runs, main block: no
//! child runs
//! main block ends
//! ```
//!
//! Observe: what stands before `init` runs twice, what follows it runs once. So `init` is what
//! `if __name__ == '__main__':` is in Python, and that is why it is the first line of `main` elsewhere.
//! *Processes, CIS 41B* calls the `__name__` of a child `__multiprocessing_main__`: it is `__mp_main__` in a child
//! that was started afresh, and `__main__` in one that was forked. It also says that the name of an imported module
//! "will not become 'moduleA'": it does, and that is why its guarded block does not run.
//! Try: leave `init` out: which error stops a child from starting a child, which would start a child? Then put it
//! back, and start the child with `.start_method(common::StartMethod::Fork)`: which line is missing?

use common::Process;

fn child_function((): ()) {
    println!("child runs");
}

fn main() -> common::Result<()> {
    let main_block = if common::is_child() { "no" } else { "yes" };
    println!("top level runs, main block: {main_block}");

    // A child does its work in here, and does not come back.
    common::init();

    let child = Process::new(child_function, ()).start()?;
    child.join()?;
    println!("main block ends");
    Ok(())
}
