//! # Answer: a message that shows its damage (Python Processes, outline)
//!
//! Each message has its length in front and a checksum behind, so that a flipped bit and a cut are noticed.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin answer_checked_message
//! whole: "ten tickets, please"
//! one bit flipped: Err(InvalidData)
//! cut in the middle: Err(UnexpectedEof)
//! each of 216 bits flipped in turn: 0 got through
//! cut at each of 27 places in turn: 0 got through
//! ```
//!
//! Observe: the length says where the message should end, so a cut is not taken for an end. The checksum is made of
//! length and text: one bit more or less gives another one. A damaged length takes no memory either, as `text` grows
//! by what arrives and not by what is promised. All that is against accidents: who does harm on purpose
//! computes the checksum anew.
//! Try: let `checksum` add up the bytes instead. A single bit is noticed still; which two, flipped together, are not?

use common::{Process, connection::Handle};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

/// CRC-32, as in zip files and Ethernet, one bit after the other.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 * (sum & 1));
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

fn pack(text: &[u8]) -> io::Result<Vec<u8>> {
    let len = u32::try_from(text.len()).map_err(io::Error::other)?;
    let front = [&len.to_be_bytes(), text].concat();
    Ok([&front[..], &checksum(&front).to_be_bytes()].concat())
}

fn unpack(mut from: impl Read) -> io::Result<Vec<u8>> {
    let (mut len, mut text, mut sum) = ([0; 4], Vec::new(), [0; 4]);
    from.read_exact(&mut len)?;
    from.by_ref().take(u32::from_be_bytes(len).into()).read_to_end(&mut text)?;
    from.read_exact(&mut sum)?;
    let is_whole = sum == checksum(&[&len[..], &text].concat()).to_be_bytes();
    if is_whole { Ok(text) } else { Err(ErrorKind::InvalidData.into()) }
}

fn flip(mut message: Vec<u8>, bit: usize) -> Vec<u8> {
    message[bit / 8] ^= 1 << (bit % 8);
    message
}

fn send((pipe, whole): (Handle, Vec<u8>)) -> io::Result<()> {
    let flipped = flip(whole.clone(), 50);
    File::from(pipe.into_fd()?).write_all(&[&whole[..], &flipped, &whole[..10]].concat())
}

fn main() -> common::Result<()> {
    common::init();
    let (mut reader, writer) = io::pipe()?;
    let whole = pack(b"ten tickets, please")?;
    let child = Process::new(send, (Handle::from(writer), whole.clone())).start()?;
    println!("whole: {:?}", String::from_utf8_lossy(&unpack(&mut reader)?));
    for damage in ["one bit flipped", "cut in the middle"] {
        println!("{damage}: {:?}", unpack(&mut reader).map_err(|error| error.kind()));
    }
    child.join()?;

    let (bits, len) = (8 * whole.len(), whole.len());
    let flips = (0..bits).filter(|&bit| unpack(&flip(whole.clone(), bit)[..]).is_ok());
    println!("each of {bits} bits flipped in turn: {} got through", flips.count());
    let cuts = (0..len).filter(|&end| unpack(&whole[..end]).is_ok());
    println!("cut at each of {len} places in turn: {} got through", cuts.count());
    Ok(())
}
