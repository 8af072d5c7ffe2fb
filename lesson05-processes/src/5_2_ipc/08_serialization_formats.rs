//! # 5.2 Challenges of IPC: a value as bytes (Python Processes)
//!
//! What goes from one memory into another is a row of bytes, and both sides must read it alike.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin serialization_formats
//! as a message: 21 bytes
//! as JSON: 54 bytes: {"name":"Ada","year":1815,"fields":["maths","poetry"]}
//! both came back as they were: true
//! cut short: an error, and no half of a value
//! ```
//!
//! Observe: JSON is text that every language reads; a message of `common` is shorter, and only this program reads it.
//! Python's pickle is neither: it holds instructions, and who unpickles bytes of a stranger runs what he wrote. Bytes
//! that serde reads can only become a value of the type that you have named, or an error.
//! Try: derive `Deserialize` for a second type, whose field is `born` in the place of `year`, and read the JSON as
//! that. What does the error name?

use common::pipe;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    name: String,
    year: u16,
    fields: Vec<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fields = vec!["maths".to_string(), "poetry".to_string()];
    let ada = Person { name: "Ada".to_string(), year: 1815, fields };

    let (left, right) = pipe::<Person, Person>()?;
    left.send(&ada)?;
    println!("as a message: {} bytes", right.recv_bytes()?.len());
    left.send(&ada)?;
    let message = right.recv()?;

    let json = serde_json::to_string(&ada)?;
    println!("as JSON: {} bytes: {json}", json.len());
    let text: Person = serde_json::from_str(&json)?;
    println!("both came back as they were: {}", message == ada && text == ada);

    let cut = serde_json::from_str::<Person>(&json[..20]);
    println!("cut short: {}", if cut.is_err() { "an error, and no half of a value" } else { "?" });
    Ok(())
}
