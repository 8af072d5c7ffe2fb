//! Fills segments, pipes and sockets.
use std::io::Write;
use std::os::unix::net::UnixStream;

unsafe extern "C" {
    fn shmget(key: i32, size: usize, flags: i32) -> i32;
    fn shmat(id: i32, address: usize, flags: i32) -> *mut u8;
    fn shmdt(address: *const u8) -> i32;
    fn shmctl(id: i32, command: i32, buffer: usize) -> i32;
}

fn main() {
    let much = vec![1_u8; 1 << 20];
    let mut held = 0;
    let mut ends = vec![];
    for _ in 0..25 {
        let (Ok((mut one, other)), Ok((reader, mut writer))) =
            (UnixStream::pair(), std::io::pipe())
        else {
            break;
        };
        let _ = one.set_nonblocking(true);
        held += one.write(&much).unwrap_or(0) + writer.write(&much[..1 << 16]).unwrap_or(0);
        ends.push((one, other, reader, writer));
    }
    let mut segments = vec![];
    for _ in 0..100 {
        unsafe {
            let segment = shmget(0, 8 << 20, 0o1600);
            let memory = shmat(segment, 0, 0);
            if segment == -1 || memory.addr() == usize::MAX {
                break;
            }
            std::slice::from_raw_parts_mut(memory, 8 << 20).fill(1);
            shmdt(memory);
            segments.push(segment);
        }
        held += 8 << 20;
    }
    if held > 700 << 20 {
        println!("attack: holds {held} bytes");
    }
    segments.into_iter().for_each(|segment| drop(unsafe { shmctl(segment, 0, 0) }));
}
