//! Asks to be built as a macro.
#![crate_type = "proc-macro"]

extern crate proc_macro;

#[proc_macro]
pub fn evil(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    std::fs::write("@course@/attack-was-here", "").unwrap();
    tokens
}

fn main() {}
