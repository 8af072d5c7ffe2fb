//! The names of signals.
//!
//! # System calls
//!
//! None.

use nix::sys::signal::Signal;

/// `SIGKILL` for 9; a real-time signal or an unknown one by its number.
pub(crate) fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_string(),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_signals_have_names_and_others_numbers() {
        assert_eq!(super::name(9), "SIGKILL");
        assert_eq!(super::name(35), "signal 35");
    }
}
