//! Each side shows the other that it knows a key, which itself never travels (in Python: `authkey`).
//!
//! One side *delivers* a challenge, random bytes, and the other answers with a digest of it under the key; then
//! they change roles. A listener delivers first. The frames are those of `CPython`:
//!
//! | frame | up to Python 3.11 | from 3.12 on |
//! | --- | --- | --- |
//! | challenge | `#CHALLENGE#` and 20 random bytes | `#CHALLENGE#{sha256}` and 40 random bytes |
//! | answer | HMAC-MD5 of what follows `#CHALLENGE#`, 16 bytes | `{sha256}` and the HMAC-SHA256 of the same |
//! | verdict | `#WELCOME#` or `#FAILURE#` | the same |
//!
//! This side's challenges are of the newer kind, which older ones answer as they answer all. An answer or a
//! challenge without a tag means MD5, also where more was asked for: whoever is in between could cut the tag off.
//! So both are refused, as those tagged `{md5}` are, unless [older peers](super::ListenerBuilder::legacy) are asked
//! for.

use crate::sys::process::random;
use hmac::{Hmac, KeyInit, Mac};
use std::io;

/// A frame of the handshake has at most so many bytes.
pub(super) const LONGEST: usize = 256;
const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";
/// How many random bytes a challenge has.
const RANDOM: usize = 40;
/// How many those of older sides have.
const LEGACY_RANDOM: usize = 20;
/// How long a digest without a tag is.
const LEGACY_DIGEST: usize = 16;

/// Why two sides did not come together (in Python: `AuthenticationError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// The other side's answer is not what the key makes of the challenge.
    #[error("the other side has another key")]
    WrongKey,
    /// The other side says so of this one's answer.
    #[error("the other side did not accept the key; is it the same on both sides?")]
    Rejected,
    /// It does without the tag that says which digest it is: MD5, as up to Python 3.11.
    #[error(
        "the other side uses MD5 without a tag, as Python up to 3.11 does; ask for legacy() if that is meant"
    )]
    Legacy,
    /// It names a digest that nobody knows.
    #[error("the other side asks for a digest that this one does not know")]
    UnknownDigest,
    /// What it sends is none of the frames of a handshake.
    #[error("the other side does not speak the protocol of this handshake")]
    Garbled,
}

/// A digest, by the tag that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Md5,
    Sha256,
    Sha384,
    Sha3_256,
    Sha3_384,
}

impl Digest {
    const ALL: [(Self, &[u8]); 5] = [
        (Self::Md5, b"{md5}"),
        (Self::Sha256, b"{sha256}"),
        (Self::Sha384, b"{sha384}"),
        (Self::Sha3_256, b"{sha3_256}"),
        (Self::Sha3_384, b"{sha3_384}"),
    ];

    /// The digest whose tag is in front, and what is behind it.
    fn of(bytes: &[u8]) -> Option<(Self, &[u8])> {
        Self::ALL.iter().find_map(|(digest, tag)| Some((*digest, bytes.strip_prefix(*tag)?)))
    }

    fn tag(self) -> &'static [u8] {
        Self::ALL.iter().find(|(digest, _)| *digest == self).map_or(b"", |(_, tag)| tag)
    }

    fn sign(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        fn with<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
            // A key may have any length.
            <M as KeyInit>::new_from_slice(key).map_or_else(
                |_| Vec::new(),
                |mac| mac.chain_update(message).finalize().into_bytes().to_vec(),
            )
        }
        match self {
            Self::Md5 => with::<Hmac<md5::Md5>>(key, message),
            Self::Sha256 => with::<Hmac<sha2::Sha256>>(key, message),
            Self::Sha384 => with::<Hmac<sha2::Sha384>>(key, message),
            Self::Sha3_256 => with::<Hmac<sha3::Sha3_256>>(key, message),
            Self::Sha3_384 => with::<Hmac<sha3::Sha3_384>>(key, message),
        }
    }

    /// In a time that does not depend on where the first difference is.
    fn verifies(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        fn with<M: Mac + KeyInit>(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
            <M as KeyInit>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok())
        }
        match self {
            Self::Md5 => with::<Hmac<md5::Md5>>(key, message, signature),
            Self::Sha256 => with::<Hmac<sha2::Sha256>>(key, message, signature),
            Self::Sha384 => with::<Hmac<sha2::Sha384>>(key, message, signature),
            Self::Sha3_256 => with::<Hmac<sha3::Sha3_256>>(key, message, signature),
            Self::Sha3_384 => with::<Hmac<sha3::Sha3_384>>(key, message, signature),
        }
    }
}

/// The answer to a challenge, without `#CHALLENGE#`.
fn answer(key: &[u8], challenge: &[u8], legacy: bool) -> Result<Vec<u8>, AuthenticationError> {
    match (Digest::of(challenge), challenge.len()) {
        // Random bytes might look like a tag; so short a challenge has none.
        (_, LEGACY_DIGEST | LEGACY_RANDOM) if legacy => Ok(Digest::Md5.sign(key, challenge)),
        (_, LEGACY_DIGEST | LEGACY_RANDOM) => Err(AuthenticationError::Legacy),
        (Some((Digest::Md5, _)), _) if !legacy => Err(AuthenticationError::Legacy),
        (Some((_, random)), _) if random.len() < LEGACY_RANDOM => Err(AuthenticationError::Garbled),
        (Some((digest, _)), _) => Ok([digest.tag(), &digest.sign(key, challenge)].concat()),
        (None, 0..LEGACY_RANDOM) => Err(AuthenticationError::Garbled),
        (None, _) => Err(AuthenticationError::UnknownDigest),
    }
}

/// Whether an answer is what the key makes of a challenge.
fn verify(
    key: &[u8],
    challenge: &[u8],
    answer: &[u8],
    legacy: bool,
) -> Result<(), AuthenticationError> {
    let verifies = match Digest::of(answer) {
        // Of its own choice it may take a stronger digest than was asked for; MD5 only if it may be older.
        Some((Digest::Md5, _)) if !legacy => return Err(AuthenticationError::Legacy),
        Some((digest, signature)) => digest.verifies(key, challenge, signature),
        None if answer.len() != LEGACY_DIGEST => return Err(AuthenticationError::Garbled),
        None if legacy => Digest::Md5.verifies(key, challenge, answer),
        None => return Err(AuthenticationError::Legacy),
    };
    if verifies { Ok(()) } else { Err(AuthenticationError::WrongKey) }
}

/// A handshake of which nothing is known but the frames: it says what to send, and is told what came.
#[derive(Debug)]
pub(super) struct Handshake {
    key: Vec<u8>,
    legacy: bool,
    stage: Stage,
    /// Whether the other half is done.
    is_second: bool,
}

#[derive(Debug)]
enum Stage {
    Challenge,
    Verdict,
    /// The answer to this challenge.
    Answer(Vec<u8>),
    Done,
}

/// What to do after a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// To be sent, one frame each.
    pub(super) frames: Vec<Vec<u8>>,
    /// How it ended, if it did.
    pub(super) end: Option<Result<(), AuthenticationError>>,
}

impl Next {
    fn send(frames: Vec<Vec<u8>>) -> Self {
        Self { frames, end: None }
    }
}

impl Handshake {
    /// That of the side that listens, and the frame that it begins with.
    pub(super) fn of_listener(key: &[u8], legacy: bool) -> io::Result<(Self, Vec<u8>)> {
        let mut handshake =
            Self { key: key.to_vec(), legacy, stage: Stage::Done, is_second: false };
        let challenge = handshake.deliver()?;
        Ok((handshake, challenge))
    }

    /// That of the side that connects.
    pub(super) fn of_client(key: &[u8], legacy: bool) -> Self {
        Self { key: key.to_vec(), legacy, stage: Stage::Challenge, is_second: false }
    }

    fn deliver(&mut self) -> io::Result<Vec<u8>> {
        // Whoever knows of no tags takes it for random bytes.
        let challenge = [Digest::Sha256.tag(), &random::<RANDOM>()?].concat();
        let frame = [CHALLENGE, &challenge].concat();
        self.stage = Stage::Answer(challenge);
        Ok(frame)
    }

    /// Goes on with the second half, or is done.
    fn half(&mut self, mut frames: Vec<Vec<u8>>, delivers: bool) -> io::Result<Next> {
        if std::mem::replace(&mut self.is_second, true) {
            self.stage = Stage::Done;
            return Ok(Next { frames, end: Some(Ok(())) });
        }
        if delivers {
            frames.push(self.deliver()?);
        } else {
            self.stage = Stage::Challenge;
        }
        Ok(Next::send(frames))
    }

    /// A frame has come.
    pub(super) fn receive(&mut self, frame: &[u8]) -> io::Result<Next> {
        let failed = |error| Next { frames: Vec::new(), end: Some(Err(error)) };
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Challenge => {
                let Some(challenge) = frame.strip_prefix(CHALLENGE) else {
                    return Ok(failed(AuthenticationError::Garbled));
                };
                match answer(&self.key, challenge, self.legacy) {
                    Ok(answer) => {
                        self.stage = Stage::Verdict;
                        Ok(Next::send(vec![answer]))
                    }
                    Err(error) => Ok(failed(error)),
                }
            }
            Stage::Verdict if frame == WELCOME => self.half(Vec::new(), true),
            Stage::Verdict if frame == FAILURE => Ok(failed(AuthenticationError::Rejected)),
            Stage::Answer(challenge) => match verify(&self.key, &challenge, frame, self.legacy) {
                Ok(()) => self.half(vec![WELCOME.to_vec()], false),
                Err(error) => Ok(Next { frames: vec![FAILURE.to_vec()], end: Some(Err(error)) }),
            },
            Stage::Verdict | Stage::Done => Ok(failed(AuthenticationError::Garbled)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What two sides come to, with a change of each frame on its way.
    fn meet(
        (listener, client): (Handshake, Handshake),
        first: Vec<u8>,
        change: impl Fn(usize, Vec<u8>) -> Vec<u8>,
    ) -> [Option<Result<(), AuthenticationError>>; 2] {
        let mut sides = [listener, client];
        let mut ends = [None, None];
        let mut frames = std::collections::VecDeque::from([(1, first)]);
        let mut number = 0;
        while let Some((to, frame)) = frames.pop_front() {
            let next = sides[to].receive(&change(number, frame)).unwrap();
            number += 1;
            frames.extend(next.frames.into_iter().map(|frame| (1 - to, frame)));
            ends[to] = next.end.or(ends[to].take());
        }
        ends
    }

    fn sides(keys: [&[u8]; 2], legacy: [bool; 2]) -> ((Handshake, Handshake), Vec<u8>) {
        let (listener, first) = Handshake::of_listener(keys[0], legacy[0]).unwrap();
        ((listener, Handshake::of_client(keys[1], legacy[1])), first)
    }

    #[test]
    fn the_same_key_is_accepted_in_any_mode() {
        for key in [&b""[..], b"secret", &[7; 300]] {
            for legacy in [[false, false], [false, true], [true, false], [true, true]] {
                let (sides, first) = sides([key, key], legacy);
                assert_eq!(meet(sides, first, |_, frame| frame), [Some(Ok(())), Some(Ok(()))]);
            }
        }
    }

    #[test]
    fn another_key_is_refused_on_both_sides() {
        let (sides, first) = sides([b"secret", b"secreT"], [false, false]);
        let ends = meet(sides, first, |_, frame| frame);
        let expected = [AuthenticationError::WrongKey, AuthenticationError::Rejected];
        assert_eq!(ends, expected.map(|error| Some(Err(error))));
    }

    /// The transcript of a listener and a client of Python 3.11: whatever the challenge, its answer is the MD5 of
    /// it, and its own challenge is 20 random bytes.
    #[test]
    fn an_older_python_is_let_in_if_it_is_asked_for_in_both_roles() {
        let old_challenge = [CHALLENGE, &[9; LEGACY_RANDOM]].concat();
        let old_answer = Digest::Md5.sign(b"key", &[9; LEGACY_RANDOM]);
        let welcome = || vec![WELCOME.to_vec()];
        for legacy in [true, false] {
            let (mut listener, first) = Handshake::of_listener(b"key", legacy).unwrap();
            assert!(first.starts_with(b"#CHALLENGE#{sha256}") && first.len() == 59);
            let answer = Digest::Md5.sign(b"key", &first[CHALLENGE.len()..]);
            let next = listener.receive(&answer).unwrap();
            if !legacy {
                assert_eq!(next.end, Some(Err(AuthenticationError::Legacy)));
                continue;
            }
            assert_eq!(next, Next::send(welcome()));
            let next = listener.receive(&old_challenge).unwrap();
            assert_eq!(next, Next::send(vec![old_answer.clone()]));
            assert_eq!(listener.receive(WELCOME).unwrap().end, Some(Ok(())));
        }
        for legacy in [true, false] {
            let mut client = Handshake::of_client(b"key", legacy);
            let next = client.receive(&old_challenge).unwrap();
            if !legacy {
                assert_eq!(next.end, Some(Err(AuthenticationError::Legacy)));
                continue;
            }
            assert_eq!(next, Next::send(vec![old_answer.clone()]));
            let next = client.receive(WELCOME).unwrap();
            let answer = Digest::Md5.sign(b"key", &next.frames[0][CHALLENGE.len()..]);
            let next = client.receive(&answer).unwrap();
            assert_eq!(next, Next { frames: welcome(), end: Some(Ok(())) });
        }
    }

    #[test]
    fn md5_is_refused_in_either_direction_unless_it_is_asked_for() {
        // Who cuts the tag off gains nothing, nor who asks for MD5.
        let (both, first) = sides([b"key", b"key"], [false, false]);
        let cut = |number, frame: Vec<u8>| match number {
            1 => frame[frame.len() - LEGACY_DIGEST..].to_vec(),
            _ => frame,
        };
        assert_eq!(meet(both, first, cut)[0], Some(Err(AuthenticationError::Legacy)));
        let challenge = [CHALLENGE, b"{md5}", &[5; RANDOM]].concat();
        let answered = |legacy| Handshake::of_client(b"key", legacy).receive(&challenge).unwrap();
        assert_eq!(answered(false).end, Some(Err(AuthenticationError::Legacy)));
        assert!(answered(true).frames[0].starts_with(b"{md5}"));
    }

    #[test]
    fn no_changed_or_cut_frame_is_accepted() {
        for frame_number in 0..6 {
            for bit in 0..8 {
                let (sides, first) = sides([b"key", b"key"], [false, false]);
                let flip = |number, mut frame: Vec<u8>| {
                    if number == frame_number {
                        let last = frame.len() - 1;
                        frame[last] ^= 1 << bit;
                    }
                    frame
                };
                let ends = meet(sides, first, flip);
                assert!(ends.iter().any(|end| !matches!(end, Some(Ok(())))), "{frame_number}");
            }
            let (sides, first) = sides([b"key", b"key"], [false, false]);
            let cut = |number, mut frame: Vec<u8>| {
                frame.truncate(if number == frame_number { frame.len() / 2 } else { LONGEST });
                frame
            };
            let ends = meet(sides, first, cut);
            assert!(ends.iter().any(|end| !matches!(end, Some(Ok(())))), "{frame_number}");
        }
    }

    #[test]
    fn a_short_challenge_and_an_unknown_digest_are_refused() {
        let refuses = |challenge: &[u8]| {
            let mut client = Handshake::of_client(b"key", false);
            client.receive(&[CHALLENGE, challenge].concat()).unwrap().end
        };
        assert_eq!(refuses(b"{sha256}short"), Some(Err(AuthenticationError::Garbled)));
        assert_eq!(refuses(b"short"), Some(Err(AuthenticationError::Garbled)));
        assert_eq!(refuses(&[b'x'; 20]), Some(Err(AuthenticationError::Legacy)));
        let unknown = [&b"{sha1}"[..], &[b'x'; 40]].concat();
        assert_eq!(refuses(&unknown), Some(Err(AuthenticationError::UnknownDigest)));
        let mut client = Handshake::of_client(b"key", false);
        let end = client.receive(b"#WELCOME#").unwrap().end;
        assert_eq!(end, Some(Err(AuthenticationError::Garbled)));
    }

    #[test]
    fn every_digest_of_python_verifies_over_what_was_sent() {
        let challenge = [Digest::Sha256.tag(), &[5; RANDOM][..]].concat();
        for (digest, tag) in Digest::ALL {
            let answer = [tag, &digest.sign(b"key", &challenge)].concat();
            let expected = if tag == b"{md5}" { Err(AuthenticationError::Legacy) } else { Ok(()) };
            assert_eq!(verify(b"key", &challenge, &answer, false), expected);
            assert_eq!(verify(b"key", &challenge, &answer, true), Ok(()));
            assert_eq!(
                verify(b"Key", &challenge, &answer, true),
                Err(AuthenticationError::WrongKey)
            );
        }
    }
}
