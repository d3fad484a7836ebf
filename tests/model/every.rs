//! Lists of values that cannot forget one.

/// What is tried of an enumeration of the program. A kind that is not named here does not compile: the match is there for that alone.
macro_rules! every {
    ($all:ident: $name:ident { $($kind:ident $(($contents:expr))?),+ $(,)? }) => {
        pub fn $all() -> Vec<$name> {
            let _ = |one: $name| match one {
                $($name::$kind { .. } => {})+
            };
            let kinds = [$(every!(@of $name $kind $(($contents))?)),+];
            assert!(kinds.iter().all(|kind: &Vec<$name>| !kind.is_empty()), "a kind without a value is not tried");
            kinds.concat()
        }
    };
    (@of $name:ident $kind:ident) => { vec![$name::$kind] };
    (@of $name:ident $kind:ident ($contents:expr)) => { $contents.into_iter().map($name::$kind).collect() };
}
