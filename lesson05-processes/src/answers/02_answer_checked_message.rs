//! # Answer: a message that shows its damage (Python Processes, outline)
//!
//! Each message carries its length in front and a checksum behind, so that a flipped bit and a cut are noticed.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin answer_checked_message
//! whole: "ten tickets, please"
//! with one bit flipped: invalid data
//! cut in the middle: unexpected end of file
//! each of the 216 bits flipped in turn: 0 got through
//! cut at each of the 27 places in turn: 0 got through
//! ```
//!
//! Observe: the length says where a message ends, and so a cut is not taken for an end; the checksum is that of length
//! and text, and one bit less or more makes another one. A length beyond the limit is refused before memory is
//! taken for it. All this is against accidents: who damages a message on purpose computes the checksum anew.
//! Try: let `checksum` add up the bytes and nothing else. Which damage does it still see, and which two bits, flipped
//! together, does it miss?

use common::Process;
use common::connection::Handle;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write, pipe};

/// CRC-32, as in zip files and Ethernet, one bit after the other.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 * (sum & 1));
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

fn pack(text: &str) -> io::Result<Vec<u8>> {
    let len = u32::try_from(text.len()).map_err(io::Error::other)?;
    let body = [&len.to_be_bytes(), text.as_bytes()].concat();
    Ok([&body[..], &checksum(&body).to_be_bytes()].concat())
}

fn unpack(from: &mut dyn Read) -> io::Result<String> {
    let mut body = vec![0; 4];
    from.read_exact(&mut body)?;
    let len = u32::from_be_bytes([body[0], body[1], body[2], body[3]]) as usize;
    if len > 1000 {
        return Err(ErrorKind::InvalidData.into());
    }
    body.resize(4 + len, 0);
    from.read_exact(&mut body[4..])?;
    let mut sum = [0; 4];
    from.read_exact(&mut sum)?;
    if u32::from_be_bytes(sum) != checksum(&body) {
        return Err(ErrorKind::InvalidData.into());
    }
    String::from_utf8(body.split_off(4)).map_err(|_| ErrorKind::InvalidData.into())
}

/// The message with one bit changed; the bits count from its beginning.
fn flip(message: &[u8], bit: usize) -> Vec<u8> {
    let mut damaged = message.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    damaged
}

fn send(pipe: Handle) -> io::Result<()> {
    let (mut pipe, whole) = (File::from(pipe.into_fd()?), pack("ten tickets, please")?);
    pipe.write_all(&whole)?;
    pipe.write_all(&flip(&whole, 50))?;
    pipe.write_all(&whole[..10])
}

fn main() -> common::Result<()> {
    common::init();
    let (mut reader, writer) = pipe()?;
    let child = Process::new(send, Handle::from(writer)).start()?;
    println!("whole: {:?}", unpack(&mut reader)?);
    if let Err(error) = unpack(&mut reader) {
        println!("with one bit flipped: {}", error.kind());
    }
    if let Err(error) = unpack(&mut reader) {
        println!("cut in the middle: {}", error.kind());
    }
    child.join()?;

    let whole = pack("ten tickets, please")?;
    let bits = 8 * whole.len();
    let missed = (0..bits).filter(|&bit| unpack(&mut &flip(&whole, bit)[..]).is_ok()).count();
    println!("each of the {bits} bits flipped in turn: {missed} got through");
    let missed = (0..whole.len()).filter(|&end| unpack(&mut &whole[..end]).is_ok()).count();
    println!("cut at each of the {} places in turn: {missed} got through", whole.len());
    Ok(())
}
