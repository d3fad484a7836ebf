//! Enumerations that know their values.

/// An enumeration of the model's own: its values and the list of them stand once.
macro_rules! listed {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $value:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$meaning])* $value,)+
        }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$value,)+];
        }
    };
}
