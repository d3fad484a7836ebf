//! The size of the files.

use super::{Bench, numbers, peers};

pub fn measure(bench: &mut Bench) {
    let mut rows = Vec::new();
    let mut raw = serde_json::Map::new();
    for peer in peers::all(bench) {
        let Some(bytes) = peer.program.as_ref().and_then(|program| Some(std::fs::metadata(program).ok()?.len())) else {
            continue;
        };
        raw.insert(peer.name.into(), bytes.into());
        rows.push(vec![peer.name.to_owned(), format!("{:.0}", bytes as f64 / 1000.0)]);
    }
    numbers::table("Size of the file, as it is shipped, in KB", &["", "KB"], &rows);
    bench.raw.insert("size".into(), raw.into());
}
