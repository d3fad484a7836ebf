//! Who put how many bytes into a binary, by the names of its functions and constants (elf(5)): what `cargo bloat` does.

use std::collections::{BTreeMap, HashMap};

/// Bytes by package, the largest first, and then what has no name. `None` if this is no binary with names.
pub fn by_package(file: &[u8]) -> Option<Vec<(String, u64)>> {
    const LOADED: u64 = 0x2;
    const NO_BITS: u32 = 8;
    const SYMBOLS: u32 = 2;
    let sections = sections(file)?;
    let table = sections.iter().find(|section| section.kind == SYMBOLS)?;
    let names = sections.get(table.link as usize)?;
    // Several names may lie at one address: the same code under the names of all who use it.
    let mut sizes: BTreeMap<u64, (u64, String)> = BTreeMap::new();
    for entry in file.get(table.place()?)?.chunks_exact(24) {
        let (kind, section) = (entry[4] & 0xf, u16::from_le_bytes([entry[6], entry[7]]));
        let (address, size) = (long(entry, 8)?, long(entry, 16)?);
        let lies_in_file = sections.get(usize::from(section)).is_some_and(|section| section.kind != NO_BITS);
        // Objects and functions.
        if (kind == 1 || kind == 2) && size > 0 && lies_in_file {
            let name = file.get(names.offset as usize + word(entry, 0)? as usize..)?;
            let name = String::from_utf8_lossy(name.split(|byte| *byte == 0).next()?);
            sizes.entry(address).or_insert((size, package(&name)));
        }
    }
    let mut packages: HashMap<String, u64> = HashMap::new();
    for (size, package) in sizes.into_values() {
        *packages.entry(package).or_default() += size;
    }
    let named: u64 = packages.values().sum();
    let loaded = sections.iter().filter(|section| section.flags & LOADED != 0 && section.kind != NO_BITS);
    let loaded: u64 = loaded.map(|section| section.size).sum();
    let mut packages: Vec<_> = packages.into_iter().collect();
    packages.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    packages.push(("(no name: texts, tables)".to_owned(), loaded.saturating_sub(named)));
    Some(packages)
}

/// Whose a name is: both ways of rustc to write one begin with the package; what is neither is the C library's.
fn package(name: &str) -> String {
    let found = name.strip_prefix("_R").and_then(v0).or_else(|| name.strip_prefix("_ZN").and_then(legacy));
    match found {
        None => "musl (the C library)".to_owned(),
        // The few symbols that the compiler itself makes for the allocator.
        Some(package) if package.contains("__rust") => "std".to_owned(),
        Some(package) => package.replace('_', "-"),
    }
}

/// `…C` `s7BliBxkEZsN_` `4core…`: the first crate root in the name. `C` may be part of a word before it, so that all three
/// must be there.
fn v0(name: &str) -> Option<&str> {
    name.match_indices("Cs").find_map(|(at, _)| {
        let (disambiguator, rest) = name[at + 2..].split_once('_')?;
        disambiguator.chars().all(|c| c.is_ascii_alphanumeric()).then(|| counted(rest)).flatten()
    })
}

/// `4core3fmt…`, or, for an implementation, `60_$LT$core..fmt..Formatter$u20$as$u20$…`.
fn legacy(name: &str) -> Option<&str> {
    let first = counted(name)?;
    let Some(mut path) = first.strip_prefix("_$LT$") else { return Some(first) };
    for prefix in ["$RF$", "mut$u20$", "dyn$u20$", "$u5b$", "$LP$"] {
        path = path.strip_prefix(prefix).unwrap_or(path);
    }
    // A type without a path is one of the language's: the trait says whose it is.
    let of_type = path.split("..").next().filter(|word| word.len() < path.len() && !word.contains('$'));
    of_type.or_else(|| path.split_once("$u20$as$u20$")?.1.split("..").next())
}

/// The word behind its length.
fn counted(text: &str) -> Option<&str> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let length: usize = text[..digits].parse().ok()?;
    text.get(digits..digits + length)
}

struct Part {
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl Part {
    fn place(&self) -> Option<std::ops::Range<usize>> {
        Some(self.offset as usize..self.offset.checked_add(self.size)? as usize)
    }
}

fn sections(file: &[u8]) -> Option<Vec<Part>> {
    let is_elf = file.starts_with(b"\x7fELF\x02\x01");
    let (start, size) = (long(file, 0x28)? as usize, 64);
    let count = usize::from(u16::from_le_bytes([*file.get(0x3c)?, *file.get(0x3d)?]));
    let headers = file.get(start..start + size * count).filter(|_| is_elf)?;
    let part = |header: &[u8]| {
        Some(Part {
            kind: word(header, 4)?,
            flags: long(header, 8)?,
            offset: long(header, 0x18)?,
            size: long(header, 0x20)?,
            link: word(header, 0x28)?,
        })
    };
    headers.chunks_exact(size).map(part).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
