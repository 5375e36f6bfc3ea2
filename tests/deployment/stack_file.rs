//! Dockerfile and docker-compose.staging.yml without an engine.
