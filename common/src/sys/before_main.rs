//! The one thing of this crate that runs before `main`, in tests that ask for it.
//!
//! # System calls
//!
//! None: the loader calls what the section `.init_array` of an executable names (`elf(5)`).

/// Lets functions under `#[test]` start processes: to be written once, at the top of a file of tests
/// (or of `src/lib.rs`, under `#[cfg(test)]`).
///
/// Cargo's test harness has a `main` of its own, which knows nothing of [`init`](crate::init) and
/// would run all tests again in each child. This has the loader call it before that `main`.
///
/// ```no_run
/// common::init_in_tests!();
///
/// #[test]
/// fn a_child_counts() {
///     let child = common::Process::new(|number: i32| number + 1, 1).start().unwrap();
///     assert_eq!(child.join().unwrap().code(), Some(2));
/// }
/// ```
///
/// The harness runs tests in threads, so [`StartMethod::Fork`](crate::StartMethod::Fork) is refused in them.
#[macro_export]
macro_rules! init_in_tests {
    () => {
        #[used]
        #[unsafe(link_section = ".init_array")]
        static COMMON_INIT: extern "C" fn() = $crate::process::init_before_main;
    };
}
