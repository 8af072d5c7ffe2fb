//! Two to the power of thirty functions.
struct Deep<T>(T);

trait Go {
    fn go();
}

impl<T> Go for Deep<T>
where
    Deep<(T, u8)>: Go,
    Deep<(T, u16)>: Go,
{
    fn go() {
        Deep::<(T, u8)>::go();
        Deep::<(T, u16)>::go();
    }
}

fn main() {
    Deep::<()>::go();
}
