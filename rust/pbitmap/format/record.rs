// SPDX-License-Identifier: GPL-2.0

//! Fixed-size records of little-endian fields: one table gives the struct, its decoder and its
//! encoder, and the offsets written in the table are checked at compile time.

/// A type that has a fixed-size little-endian form.
pub(super) trait Field: Sized {
    /// Reads the value at `offset`; [`None`] if `bytes` ends before.
    fn read(bytes: &[u8], offset: usize) -> Option<Self>;

    /// Writes the value at `offset`; [`None`] if `bytes` ends before.
    fn write(self, bytes: &mut [u8], offset: usize) -> Option<()>;
}

impl<const N: usize> Field for [u8; N] {
    #[inline]
    fn read(bytes: &[u8], offset: usize) -> Option<Self> {
        bytes.get(offset..)?.first_chunk().copied()
    }

    #[inline]
    fn write(self, bytes: &mut [u8], offset: usize) -> Option<()> {
        *bytes.get_mut(offset..)?.first_chunk_mut()? = self;
        Some(())
    }
}

macro_rules! integer_field {
    ($($type:ty),+) => {$(
        impl Field for $type {
            #[inline]
            fn read(bytes: &[u8], offset: usize) -> Option<Self> {
                Field::read(bytes, offset).map(Self::from_le_bytes)
            }

            #[inline]
            fn write(self, bytes: &mut [u8], offset: usize) -> Option<()> {
                Field::write(self.to_le_bytes(), bytes, offset)
            }
        }
    )+};
}

integer_field!(u8, u16, u32, u64, i64);

/// Declares a record: its size, then each field with its offset, in order and without gaps.
macro_rules! record {
    (
        $(#[$attr:meta])*
        pub struct $name:ident: $size:literal {
            $($(#[$field_attr:meta])* $offset:literal $field:ident: $type:ty,)+
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct $name {
            $($(#[$field_attr])* pub $field: $type,)+
        }

        impl $name {
            /// Bytes of the record.
            pub const SIZE: usize = $size;

            /// Reads the record at the start of `bytes`; [`None`] if they are too few.
            pub fn decode(bytes: &[u8]) -> Option<Self> {
                let bytes: &[u8; $size] = bytes.first_chunk()?;
                Some(Self {
                    $($field: super::record::Field::read(bytes, $offset)?,)+
                })
            }

            /// Writes the record to the start of `bytes`; [`None`] if they are too few.
            pub fn encode(&self, bytes: &mut [u8]) -> Option<()> {
                let bytes: &mut [u8; $size] = bytes.first_chunk_mut()?;
                $(super::record::Field::write(self.$field, bytes, $offset)?;)+
                Some(())
            }
        }

        #[allow(
            clippy::arithmetic_side_effects,
            reason = "runs at compile time, where an overflow is an error"
        )]
        const _: () = {
            let mut end = 0;
            $(
                assert!(end == $offset, concat!("gap or overlap before ", stringify!($field)));
                end += size_of::<$type>();
            )+
            assert!(end == $size, "the fields do not fill the record");
            assert!(end % 8 == 0, "records are aligned to 8 bytes");
        };
    };
}
pub(super) use record;
