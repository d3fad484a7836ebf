//! The laws of the plugin's reader and editor, for any bytes: no panic, every place inside the file, and whatever is put in
//! comes out again to the byte, or is refused.

use kubectl_exeunt::command::inject::{Deliver, How, Injected, Wish, eject, inject, templates};
use kubectl_exeunt::yaml::{Change, Data, Edit, File, Limits, Node, Shape, Step, apply};
use std::collections::BTreeMap;

/// What was seen, for whoever counts.
#[derive(Default, Debug)]
pub struct Seen {
    /// It is YAML.
    pub read: bool,
    /// So many changes were made and undone.
    pub edits: usize,
    /// So many were refused.
    pub refused: usize,
    /// exeunt was put in, and taken out.
    pub injected: bool,
    /// That was refused.
    pub inject_refused: bool,
    /// Why the first of them.
    pub why: Option<String>,
}

/// Holds them against one file.
///
/// # Panics
/// One is broken.
pub fn laws(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let limits = Limits { nodes: 100_000, ..Limits::default() };
    let file = match File::read_within("f", bytes.to_vec(), limits) {
        Ok(file) => file,
        Err(refusal) => {
            assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}");
            assert!(refusal.place.line >= 1 && refusal.place.column >= 1);
            return seen;
        }
    };
    seen.read = true;
    let mut nodes = Vec::new();
    for document in file.documents() {
        if let Some(root) = document.root() {
            walk(root, document.index(), &mut nodes);
        }
    }
    for (node, _, _) in &nodes {
        let (inner, outer) = (node.span(), node.outer_span());
        assert!(outer.start <= inner.start && inner.start <= inner.end && inner.end <= file.text().len());
        assert!(file.text().get(outer.clone()).is_some());
        let _ = (node.kind(), node.duplicates().len(), node.end_place());
    }
    for comment in file.comments() {
        assert!(file.text().get(comment.start..).is_some_and(|rest| rest.starts_with('#')));
    }
    // A stride, so that a large file takes no longer than a small one.
    let stride = nodes.len() / 24 + 1;
    for (number, (node, document, path)) in nodes.iter().enumerate() {
        if number % stride == 0 {
            there_and_back(&file, *node, *document, path, &mut seen);
        }
    }
    injected(&file, &mut seen);
    seen
}

fn walk<'a>(root: Node<'a>, document: usize, found: &mut Vec<(Node<'a>, usize, Vec<Step>)>) {
    let mut open = vec![(root, Vec::new())];
    while let Some((node, path)) = open.pop() {
        if found.len() > 20_000 {
            return;
        }
        let below = |step: Step| path.iter().cloned().chain([step]).collect::<Vec<_>>();
        if !node.is_alias() {
            for (index, item) in node.items().enumerate() {
                open.push((item, below(Step::Index(index))));
            }
            for entry in node.entries() {
                if let Some(key) = entry.key.text() {
                    open.push((entry.value, below(Step::Key(key.to_owned()))));
                }
            }
        }
        found.push((node, document, path));
    }
}

fn there_and_back(file: &File, node: Node<'_>, document: usize, path: &[Step], seen: &mut Seen) {
    let value =
        Data::Seq(vec![Data::Map(vec![("name".to_owned(), "x: #".into()), ("on".to_owned(), Data::Bool(true))])]);
    let edit = |change| [Edit { document, path: path.to_vec(), change }];
    let (there, back) = match node.shape() {
        Shape::Seq => (edit(Change::Front(vec![Data::Str("--".to_owned()), value])), edit(Change::DropFront(2))),
        Shape::Map => {
            let before = node.entries().last().and_then(|entry| entry.key.text()).unwrap_or("").to_owned();
            (
                edit(Change::Entry { key: "exeunt.dev/x".to_owned(), value, before }),
                edit(Change::DropEntry("exeunt.dev/x".to_owned())),
            )
        }
        Shape::Scalar => return,
    };
    match apply(file, &there) {
        Ok(text) => {
            let after = File::read("f", text.into_bytes()).expect("what was written can be read");
            let undone = apply(&after, &back).unwrap_or_else(|refusal| panic!("{refusal}\n{}", after.text()));
            assert_eq!(undone, file.text());
            seen.edits += 1;
        }
        Err(refusal) => {
            assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}");
            seen.refused += 1;
            if !refusal.message.contains("alias")
                && !refusal.message.contains("merge")
                && !refusal.message.contains("twice")
            {
                seen.why.get_or_insert(refusal.to_string());
            }
        }
    }
}

fn injected(file: &File, seen: &mut Seen) {
    let mut wish = Wish {
        options: BTreeMap::new(),
        main: Vec::new(),
        how: How::Wrap,
        deliver: Deliver::Init,
        image: "exeunt".to_owned(),
        program: "exeunt".to_owned(),
        dir: "/tmp/pod".to_owned(),
        on_exit: Vec::new(),
        entrypoints: BTreeMap::new(),
        images: BTreeMap::new(),
    };
    // The first container is the job, and what an image would run is known of all.
    for template in templates(file) {
        let Some(containers) = template.node.path(&["spec", "containers"]) else { continue };
        let names: Vec<_> = containers.items().filter_map(|item| item.get("name").and_then(Node::str)).collect();
        wish.main.extend(names.first().map(|name| (*name).to_owned()));
        wish.entrypoints.extend(names.iter().map(|name| ((*name).to_owned(), vec!["/p".to_owned()])));
    }
    for how in [How::Native, How::Auto, How::Wrap] {
        wish.how = how;
        put_in(file, &wish, seen);
    }
    // Whatever somebody has written into the annotation.
    let _ = eject(file);
}

/// Inject itself holds that what it has put in comes out again.
fn put_in(file: &File, wish: &Wish, seen: &mut Seen) {
    match inject(file, wish) {
        Ok(Injected::Text(text, _)) => {
            seen.injected |= text != file.text();
            let after = File::read("f", text.into_bytes()).expect("what was written can be read");
            assert!(text_back(file, &after));
            match inject(&after, wish) {
                Ok(Injected::Text(again, _)) => assert_eq!(again, after.text(), "twice is not once"),
                other => panic!("{other:?}"),
            }
        }
        Ok(Injected::Missing(_)) => {}
        Err(refusal) => {
            assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}");
            seen.inject_refused = true;
            seen.why = Some(refusal.to_string());
        }
    }
}

/// Out again, it is what it was; unless exeunt was in before.
fn text_back(file: &File, after: &File) -> bool {
    let before = templates(file)
        .iter()
        .any(|template| template.node.path(&["metadata", "annotations", "exeunt.dev/injected"]).is_some());
    before || eject(after).is_ok_and(|text| text == file.text())
}
