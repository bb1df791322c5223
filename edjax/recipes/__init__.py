"""What configs share: settings to start from, curricula, and the published weights of methods."""
