"""What must not leave in public: other people, addresses, phones, places."""
