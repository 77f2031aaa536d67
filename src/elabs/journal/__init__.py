"""Events of labs, appended and queried: started, ended and why. What metrics, audit and \"why did it stop\" are read from."""
