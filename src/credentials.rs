//! Placeholder of the first hour.
/// A state key.
pub struct StateKey(String, [u8; 32]);
impl StateKey {
    /// x
    pub fn from_bytes(b: [u8; 32]) -> Self {
        Self(hex::encode(&b[..4]), b)
    }
    /// x
    pub fn name(&self) -> &str {
        &self.0
    }
    /// x
    pub fn bytes(&self) -> &[u8; 32] {
        &self.1
    }
}
