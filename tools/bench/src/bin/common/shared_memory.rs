//! Create named memory and attach to it.

use common::SharedMemory;
use peers::{MIB, Run, sink, us_per};

pub(crate) fn bench(run: &Run) {
    for (metric, len) in [("shm_create_4KiB", 4096), ("shm_create_1MiB", MIB)] {
        run.bench(metric, "us", || {
            us_per(100, || {
                for _ in 0..100 {
                    let block = SharedMemory::create(len).unwrap();
                    block.set(0, 1u8).unwrap();
                    block.unlink().unwrap();
                }
            })
        });
    }
    if !run.wants("shm_attach_1MiB") {
        return;
    }
    let block = SharedMemory::create(MIB).unwrap();
    block.set(0, 1u8).unwrap();
    run.bench("shm_attach_1MiB", "us", || {
        us_per(100, || {
            for _ in 0..100 {
                let same = SharedMemory::open(block.name()).unwrap();
                sink(same.get::<u8>(0).unwrap());
            }
        })
    });
    block.unlink().unwrap();
}
