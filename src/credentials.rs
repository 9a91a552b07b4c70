//! Placeholder of the first hour.
