//! Results as people and other programs want them: text, JSON and the formats of CI systems.
